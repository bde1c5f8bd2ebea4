#!/usr/bin/env python3
"""Write the PrometheusRule of components/prometheus-rules from deploy/prometheus/rules: `make deploy-files`.

Change the rules in deploy/prometheus/rules, where `promtool` tests them.
"""

from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parent.parent
WRITTEN = DEPLOY / "kubernetes/components/prometheus-rules/prometheusrule.yaml"
_HEAD = "# Made from deploy/prometheus/rules by `make deploy-files`: change the rules there.\n"


def prometheus_rule() -> str:
    """Return the manifest's text: all groups of all rule files, in the files' order."""
    files = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "servicebus-hub",
            "labels": {"app.kubernetes.io/name": "servicebus-hub"},
        },
        "spec": {"groups": groups},
    }
    return _HEAD + yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    WRITTEN.write_text(prometheus_rule())
