# SPDX-License-Identifier: MIT
"""The files for Kubernetes: read as YAML, and what they say of each other and of the daemon is true.

Usage: y-scale.py FOLDER METRICS CONF-OUT.  Not a schema: that needs the cluster's own definitions."""
import glob
import re
import sys

import yaml

folder, metrics, conf_out = sys.argv[1:]
kinds = {}
for path in sorted(glob.glob(folder + "/*.yaml")):
    for doc in yaml.safe_load_all(open(path)):
        assert doc["apiVersion"] and doc["metadata"]["name"], path
        kinds[doc["kind"], doc["metadata"]["name"]] = doc
wanted = ["Deployment", "Service", "PodMonitor", "HorizontalPodAutoscaler", "PodDisruptionBudget",
          "InferencePool", "NetworkPolicy"]
for kind in wanted:
    assert (kind, "tritd") in kinds, kind + " is missing"
deployment = kinds["Deployment", "tritd"]["spec"]
pod = deployment["template"]
labels = pod["metadata"]["labels"]


def selects(selector):
    assert selector.items() <= labels.items(), (selector, labels)


selects(deployment["selector"]["matchLabels"])
selects(kinds["Service", "tritd"]["spec"]["selector"])
for kind in "PodDisruptionBudget", "PodMonitor", "InferencePool":
    selects(kinds[kind, "tritd"]["spec"]["selector"]["matchLabels"])
selects(kinds["NetworkPolicy", "tritd"]["spec"]["podSelector"]["matchLabels"])

# A drain ends before the kubelet kills, and begins when nothing new comes.
container = pod["spec"]["containers"][0]
conf = kinds["ConfigMap", "tritd"]["data"]["tritd.conf"]
value = dict(re.findall(r"^([a-z-]+) *= *(.*)$", conf, re.M))
sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
assert pod["spec"]["terminationGracePeriodSeconds"] > sleep + int(value["drain-seconds"]) + 2
port = int(value["port"])
assert container["ports"] == [{"name": "http", "containerPort": port}]
assert kinds["InferencePool", "tritd"]["spec"]["targetPorts"] == [{"number": port}]
for probe in "startupProbe", "readinessProbe", "livenessProbe":
    assert container[probe]["httpGet"]["port"] == "http"
names = {v["name"] for v in pod["spec"]["volumes"]}
assert {m["name"] for m in container["volumeMounts"]} == names
# threads follows the quota: whole processors, and the same asked for as allowed.
assert container["resources"]["requests"] == container["resources"]["limits"]

# Each metric that is named is one that the daemon has; the picker's have one series each.
page = open(metrics).read()
hpa = kinds["HorizontalPodAutoscaler", "tritd"]["spec"]
assert hpa["scaleTargetRef"]["kind"] == "Deployment" and hpa["scaleTargetRef"]["name"] == "tritd"
queue = hpa["metrics"][0]["pods"]["metric"]["name"]
assert re.search(r"^%s\b" % queue, page, re.M), queue
epp = yaml.safe_load(kinds["ConfigMap", "tritd-epp"]["data"]["epp.yaml"])
engine = next(p for p in epp["plugins"] if p["type"] == "core-metrics-extractor")["parameters"]["engineConfigs"][0]
assert engine["name"] == labels["llm-d.ai/engine-type"]
for spec in "queuedRequestsSpec", "runningRequestsSpec", "kvUsageSpec":
    assert len(re.findall(r"^%s " % engine[spec], page, re.M)) == 1, engine[spec]
plugins = {p["type"] for p in epp["plugins"]}
assert all(p["pluginRef"] in plugins for p in epp["schedulingProfiles"][0]["plugins"])
open(conf_out, "w").write(conf)
