"""The methods, protocols and data sets that ship with editharness, registered exactly as a third party's would be."""
