"""The admin's pages, one module per kind of object, with their forms and widgets.

`pages` collects what a page shows, `access` decides what a user may do, and `models` validates stored values.
"""

from . import credential, label_rule, namespace, team, token, user, wall_link

__all__ = ["credential", "label_rule", "namespace", "team", "token", "user", "wall_link"]
