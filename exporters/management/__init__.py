"""Commands, and what has to be true before the hub serves: migrations, an administrator, safe settings.

Code that runs while the hub serves does not belong here, except for the probe of this machine's hub.
"""
