"""Train, evaluate and compare autoencoders and variational autoencoders."""
