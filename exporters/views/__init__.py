"""Pages and endpoints outside of the admin: scrapes, discovery, health, the landing page, the wall page, all changes.

A view checks access, calls the package that does the work, and responds. The admin's pages are in `admin`.
"""
