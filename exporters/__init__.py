"""The hub's only Django app. Its packages are layers, and a layer imports only from the layers below it.

Modules at the top level serve several packages. Nothing in the app imports `hub`, the project that runs it.
"""
