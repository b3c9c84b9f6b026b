"""The command `autoencoders`, which `python -m autoencoders` is, too."""

import sys


def main() -> None:
    """Run the command line; an interruption while its modules are imported is one as well."""
    try:
        from autoencoders import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
