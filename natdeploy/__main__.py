"""`python -m natdeploy` is the command line."""

from natdeploy.cli import main

main()
