"""Measurements of the hub and of what it protects. They print figures and judge them by goals.

What tests need as well is in tests/support.
"""
