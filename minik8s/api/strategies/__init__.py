"""Temporary."""

import base64

from minik8s.api.strategy import Strategy


def pod_spec(s):
    s.setdefault("restartPolicy", "Always")
    s.setdefault("terminationGracePeriodSeconds", 30)
    s.setdefault("dnsPolicy", "ClusterFirst")
    s.setdefault("securityContext", {})
    s.setdefault("schedulerName", "default-scheduler")
    for c in [*s.get("containers", []), *s.get("initContainers", [])]:
        c.setdefault("resources", {})
        c.setdefault("terminationMessagePath", "/dev/termination-log")
        c.setdefault("terminationMessagePolicy", "File")
        c.setdefault("imagePullPolicy", "IfNotPresent")
        for p in c.get("ports", []):
            p.setdefault("protocol", "TCP")
        for k in ("readinessProbe", "livenessProbe", "startupProbe"):
            if k in c:
                p = c[k]
                p.setdefault("timeoutSeconds", 1)
                p.setdefault("periodSeconds", 10)
                p.setdefault("successThreshold", 1)
                p.setdefault("failureThreshold", 3)
                if "httpGet" in p:
                    p["httpGet"].setdefault("path", "/")
                    p["httpGet"].setdefault("scheme", "HTTP")
    for v in s.get("volumes", []):
        for k in ("secret", "configMap", "projected", "downwardAPI"):
            if k in v:
                v[k].setdefault("defaultMode", 420)


class Pod(Strategy):
    has_generation = True
    graceful = True
    returns_deleted = True
    selectable = {
        "spec.nodeName": lambda p: p["spec"].get("nodeName", ""),
        "status.phase": lambda p: p.get("status", {}).get("phase", ""),
    }
    indexed = ("spec.nodeName",)

    def default(self, o):
        s = o["spec"]
        pod_spec(s)
        s.setdefault("enableServiceLinks", True)
        s.setdefault("serviceAccountName", "default")

    def prepare_create(self, o):
        o["status"] = {"phase": "Pending", "qosClass": "BestEffort"}

    def grace_period(self, o):
        return o["spec"].get("terminationGracePeriodSeconds", 30)

    def deletable_at_once(self, o, g):
        return not o["spec"].get("nodeName") or o["status"].get("phase") in ("Succeeded", "Failed")


class Work(Strategy):
    has_generation = True

    def default(self, o):
        s = o["spec"]
        s.setdefault("replicas", 1)
        pod_spec(s["template"]["spec"])
        if o["kind"] == "Deployment":
            s.setdefault("revisionHistoryLimit", 10)
            s.setdefault("progressDeadlineSeconds", 600)
            st = s.setdefault("strategy", {})
            st.setdefault("type", "RollingUpdate")
            if st["type"] == "RollingUpdate":
                r = st.setdefault("rollingUpdate", {})
                r.setdefault("maxUnavailable", "25%")
                r.setdefault("maxSurge", "25%")

    def prepare_create(self, o):
        o["status"] = {"replicas": 0} if o["kind"] != "Deployment" else {}


class Svc(Strategy):
    returns_deleted = True

    def default(self, o):
        s = o["spec"]
        s.setdefault("type", "ClusterIP")
        s.setdefault("sessionAffinity", "None")
        s.setdefault("internalTrafficPolicy", "Cluster")
        s.setdefault("ipFamilies", ["IPv4"])
        s.setdefault("ipFamilyPolicy", "SingleStack")
        for p in s.get("ports", []):
            p.setdefault("protocol", "TCP")
            p.setdefault("targetPort", p["port"])

    def prepare_create(self, o):
        o["status"] = {"loadBalancer": {}}

    def prepare_update(self, o, old):
        super().prepare_update(o, old)
        for k in ("clusterIP", "clusterIPs"):
            if k in old["spec"]:
                o["spec"].setdefault(k, old["spec"][k])


class Ns(Strategy):
    returns_deleted = True

    def default(self, o):
        o["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = o["metadata"].get("name", "")

    def prepare_create(self, o):
        o["spec"] = {"finalizers": ["kubernetes"]}
        o["status"] = {"phase": "Active"}


class Sec(Strategy):
    def default(self, o):
        o.setdefault("type", "Opaque")
        sd = o.pop("stringData", None)
        if sd:
            o.setdefault("data", {}).update({k: base64.b64encode(v.encode()).decode() for k, v in sd.items()})


class Ev(Strategy):
    selectable = {
        f"involvedObject.{k}": (lambda k: lambda e: e["involvedObject"].get(k, ""))(k)
        for k in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    }


class Node(Strategy):
    status_keeps_metadata = False
    selectable = {"spec.unschedulable": lambda n: "true" if n["spec"].get("unschedulable") else "false"}


class Lease(Strategy):
    requires_version = True
    creates_on_update = True


class EpS(Strategy):
    has_generation = True


M = {
    "pods": Pod(),
    "deployments": Work(),
    "replicasets": Work(),
    "replicationcontrollers": Work(),
    "services": Svc(),
    "namespaces": Ns(),
    "secrets": Sec(),
    "events": Ev(),
    "nodes": Node(),
    "leases": Lease(),
    "endpointslices": EpS(),
}


def strategy_for(r):
    return M.get(r.plural, Strategy())
