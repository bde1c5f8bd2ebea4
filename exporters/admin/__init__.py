"""The screens of the admin, one module each, with their forms and widgets.

What a screen shows is collected in `pages`, what a user may do is decided in `access`, and rules about stored values
are in `models`.
"""

from . import credential, label_rule, namespace, team, token, user, wall_link

__all__ = ["credential", "label_rule", "namespace", "team", "token", "user", "wall_link"]
