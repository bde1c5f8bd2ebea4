"""What Prometheus needs to find the targets: HTTP service discovery, and configuration to copy.

It doesn't handle requests or check tokens; callers pass in the token's grant.
"""
