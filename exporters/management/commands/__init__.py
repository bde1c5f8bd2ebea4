"""The subcommands of manage.py, one module each: they parse arguments and print; the work is in other packages."""
