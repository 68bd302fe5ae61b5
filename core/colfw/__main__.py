"""`python -m colfw` is `colfw`."""

from colfw.cli import main

if __name__ == "__main__":
    main()
