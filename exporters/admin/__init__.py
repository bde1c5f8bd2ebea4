"""The screens of the admin, one module each."""

from . import credential, label_rule, namespace, team, token, user, wall_link

__all__ = ["credential", "label_rule", "namespace", "team", "token", "user", "wall_link"]
