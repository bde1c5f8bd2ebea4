"""What Prometheus needs to find the targets: HTTP service discovery, and configuration to copy.

It answers no requests and checks no tokens; callers pass in what the token opens.
"""
