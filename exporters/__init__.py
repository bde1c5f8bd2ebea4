"""The one Django app: everything that the hub does, in rooms (packages) whose imports go down only.

Directly in here is only what serves all rooms. Nothing in here imports `hub`, the project that runs the app.
"""
