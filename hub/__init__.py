"""The Django project: settings, URLs, WSGI, gunicorn and its worker, logging, middleware.

It runs the application in `exporters`, which imports nothing from here. Settings and everything that they import must
work before Django's app registry is ready.
"""
