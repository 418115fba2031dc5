"""What MEND, MALMEN and RLEdit share: nets that turn the gradient of a fact into a change of weights.

lessons     what a train case teaches: the edit, a rewording that must follow it, an unrelated question that must not
maps        the linear maps that are edited, and a model with other weights in their place
nets        the residual nets over [k; g], started at the identity
outer       the training losses and their gradient in the edited weights
ridge       MALMEN's least squares and its gradient
learning    everything a training has learnt so far, as named tensors; Adam
editor      the method that all three derive from
"""
