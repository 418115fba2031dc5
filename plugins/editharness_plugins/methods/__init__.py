"""Editing methods, one file each, named as the paper names them."""
