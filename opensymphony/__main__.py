"""`python -m opensymphony` is the same as the `opensymphony` command."""

from opensymphony.cli import main

if __name__ == "__main__":
    main()
