"""The hub's only Django app, divided into packages. Each imports only from the packages below it (CONTRIBUTING.md).

Modules at the top level serve several packages. Nothing in the app imports `hub`, the project that runs it.
"""
