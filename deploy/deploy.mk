# What others need to run tritd beside: installed with the documentation, since each of them has its
# own place for such files.
deploydir = $(docdir)/deploy
dist_deploy_DATA = deploy/README.md
deployprometheusdir = $(deploydir)/prometheus
deployprometheus_DATA = $(DEPLOY_PROMETHEUS)
deploygrafanadir = $(deploydir)/grafana
deploygrafana_DATA = $(DEPLOY_GRAFANA)
DEPLOY_PROMETHEUS = \
	deploy/prometheus/prometheus.yml deploy/prometheus/tritd.rules.yml \
	deploy/prometheus/tritd.alerts.yml deploy/prometheus/tritd.test.yml
DEPLOY_GRAFANA = deploy/grafana/tritd.json
deployhaproxydir = $(deploydir)/haproxy
deployhaproxy_DATA = deploy/haproxy/haproxy.cfg
deploynginxdir = $(deploydir)/nginx
deploynginx_DATA = deploy/nginx/tritd.conf
deploykubernetesdir = $(deploydir)/kubernetes
deploykubernetes_DATA = deploy/kubernetes/tritd.yaml deploy/kubernetes/autoscale.yaml \
	deploy/kubernetes/inference-pool.yaml
EXTRA_DIST += $(DEPLOY_PROMETHEUS) $(DEPLOY_GRAFANA) $(deployhaproxy_DATA) $(deploynginx_DATA) \
	$(deploykubernetes_DATA)

# Built from the tarball as well.
EXTRA_DIST += Containerfile .containerignore debian/changelog debian/control debian/copyright \
	debian/rules debian/source/format
