"""`python -m autoencoders` is the command `autoencoders`."""

from autoencoders.cli import main

main()
