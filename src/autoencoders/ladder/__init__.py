"""The ladder: from a network that stores one picture to a VAE that invents new ones, each rung measured."""
