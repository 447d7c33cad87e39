# What others need to run tritd beside: installed with the documentation, since each of them has its
# own place for such files.
deploydir = $(docdir)/deploy
deployprometheusdir = $(deploydir)/prometheus
deployprometheus_DATA = $(DEPLOY_PROMETHEUS)
deploygrafanadir = $(deploydir)/grafana
deploygrafana_DATA = $(DEPLOY_GRAFANA)
DEPLOY_PROMETHEUS = \
	deploy/prometheus/prometheus.yml deploy/prometheus/tritd.rules.yml \
	deploy/prometheus/tritd.alerts.yml deploy/prometheus/tritd.test.yml
DEPLOY_GRAFANA = deploy/grafana/tritd.json
EXTRA_DIST += $(DEPLOY_PROMETHEUS) $(DEPLOY_GRAFANA)
