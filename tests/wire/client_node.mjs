// What users of @kubernetes/client-node do, one scenario a run: node client_node.mjs SCENARIO NAMESPACE.
// It knows nothing but KUBECONFIG. A scenario ends well or with an error.
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import * as k8s from "@kubernetes/client-node";

const [scenario, namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const by = (type) => k8s.setHeaderOptions("Content-Type", type);
const web = {
  metadata: { name: "web" },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { terminationGracePeriodSeconds: 1, containers: [{ name: "main", image: "nginx:1" }] },
    },
  },
};

async function refused(code, call) {
  await assert.rejects(call, (error) => error.code === code);
}

// Resolves with the first event of a watch that the condition accepts.
function seen(path, condition, query = {}) {
  return new Promise(async (resolve, reject) => {
    let request;
    const done = (error) => (error && error.name !== "AbortError" ? reject(error) : undefined);
    const event = (type, object) => {
      if (condition(type, object)) {
        request.abort();
        resolve(object);
      }
    };
    request = await new k8s.Watch(config).watch(path, query, event, done);
  });
}

const scenarios = {
  // create, every type of patch, replace, conflict, paged lists, deletes
  async objects() {
    const created = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "cm" }, data: { a: "1" } } });
    const patch = (body, type) => core.patchNamespacedConfigMap({ name: "cm", namespace, body }, by(type));
    await patch([{ op: "add", path: "/data/b", value: "2" }], k8s.PatchStrategy.JsonPatch);
    await patch({ data: { c: "3" } }, k8s.PatchStrategy.StrategicMergePatch);
    const merged = await patch({ data: { a: null } }, k8s.PatchStrategy.MergePatch);
    assert.deepEqual(merged.data, { b: "2", c: "3" });
    await refused(409, () => core.replaceNamespacedConfigMap({ name: "cm", namespace, body: created }));
    for (const name of ["x", "y", "z"]) {
      await core.createNamespacedConfigMap({ namespace, body: { metadata: { name, labels: { n: "" } } } });
    }
    const page = await core.listNamespacedConfigMap({ namespace, labelSelector: "n", limit: 2 });
    const rest = await core.listNamespacedConfigMap({ namespace, labelSelector: "n", _continue: page.metadata._continue });
    assert.deepEqual([...page.items, ...rest.items].map((cm) => cm.metadata.name), ["x", "y", "z"]);
    await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: "n" });
    assert.equal((await core.deleteNamespacedConfigMap({ name: "cm", namespace })).status, "Success");
    await refused(404, () => core.readNamespacedConfigMap({ name: "cm", namespace }));
  },

  // server-side apply by the typed client
  async apply() {
    const body = (a) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "cm" }, data: { a } });
    const apply = (fieldManager, a, force) =>
      core.patchNamespacedConfigMap(
        { name: "cm", namespace, body: body(a), fieldManager, force },
        by(k8s.PatchStrategy.ServerSideApply),
      );
    const created = await apply("one", "1");
    assert.equal(created.metadata.managedFields[0].operation, "Apply");
    await refused(409, () => apply("two", "2"));
    assert.equal((await apply("two", "2", true)).data.a, "2");
  },

  // the client without types, which finds its way by discovery
  async generic() {
    const api = k8s.KubernetesObjectApi.makeApiClient(config);
    const object = { apiVersion: "apps/v1", kind: "Deployment", ...web, metadata: { ...web.metadata, namespace } };
    await api.create(object);
    await api.patch({ ...object, metadata: { name: "web", namespace, labels: { x: "y" } } });
    const applied = { ...object, spec: { ...object.spec, paused: true } };
    await api.patch(applied, undefined, undefined, "generic", true, k8s.PatchStrategy.ServerSideApply);
    const found = await api.read(object);
    assert.equal(found.metadata.labels.x, "y");
    assert.equal(found.spec.paused, true);
    const list = await api.list("apps/v1", "Deployment", namespace);
    assert.deepEqual(list.items.map((item) => item.metadata.name), ["web"]);
    await api.delete(object);
  },

  // an informer lists, follows, and forgets
  async informer() {
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: "mine" });
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const informer = k8s.makeInformer(config, path, list, "mine");
    const body = (name) => ({ metadata: { name, labels: { mine: "" } } });
    const events = [];
    const waiting = new Map();
    const note = (type) => (object) => {
      const event = `${type} ${object.metadata.name}`;
      events.push(event);
      waiting.get(event)?.();
    };
    const event = (what) => new Promise((resolve) => (events.includes(what) ? resolve() : waiting.set(what, resolve)));
    for (const type of ["add", "update", "delete"]) informer.on(type, note(type));
    informer.on("error", (error) => { if (error.name !== "AbortError") throw error; });
    await core.createNamespacedConfigMap({ namespace, body: body("before") });
    await informer.start();
    await event("add before");
    await core.createNamespacedConfigMap({ namespace, body: body("after") });
    await event("add after");
    await core.patchNamespacedConfigMap(
      { name: "after", namespace, body: { data: { a: "1" } } }, by(k8s.PatchStrategy.MergePatch),
    );
    await event("update after");
    await core.deleteNamespacedConfigMap({ name: "before", namespace });
    await event("delete before");
    assert.deepEqual(informer.get("after", namespace).data, { a: "1" });
    assert.equal(informer.get("before", namespace), undefined);
    await informer.stop();
  },

  // a kind that only this cluster knows
  async custom() {
    const group = `${namespace}.example.com`;
    const [version, plural] = ["v1", "widgets"];
    const spec = { type: "object", properties: { size: { type: "integer", _default: 1 } } };
    const status = { type: "object", properties: { size: { type: "integer" } } };
    const definition = {
      metadata: { name: `${plural}.${group}` },
      spec: {
        group,
        scope: "Namespaced",
        names: { plural, kind: "Widget" },
        versions: [{
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: "object", properties: { spec, status } } },
        }],
      },
    };
    const definitions = config.makeApiClient(k8s.ApiextensionsV1Api);
    const objects = config.makeApiClient(k8s.CustomObjectsApi);
    await definitions.createCustomResourceDefinition({ body: definition });
    const where = { group, version, namespace, plural };
    const widget = { apiVersion: `${group}/${version}`, kind: "Widget", metadata: { name: "w" } };
    const created = await objects.createNamespacedCustomObject({ ...where, body: { ...widget, spec: {} } });
    assert.equal(created.spec.size, 1);
    const patch = [{ op: "replace", path: "/spec/size", value: 2 }];
    await objects.patchNamespacedCustomObject({ ...where, name: "w", body: patch }, by(k8s.PatchStrategy.JsonPatch));
    await objects.patchNamespacedCustomObjectStatus(
      { ...where, name: "w", body: { status: { size: 2 } } }, by(k8s.PatchStrategy.MergePatch),
    );
    const path = `/apis/${group}/${version}/namespaces/${namespace}/${plural}`;
    const found = await seen(path, (_, object) => object.status?.size === 2);
    assert.equal(found.spec.size, 2);
    await refused(422, () => objects.patchNamespacedCustomObject(
      { ...where, name: "w", body: { spec: { size: "two" } } }, by(k8s.PatchStrategy.MergePatch),
    ));
    await objects.deleteNamespacedCustomObject({ ...where, name: "w" });
    await definitions.deleteCustomResourceDefinition({ name: definition.metadata.name });
  },

  // a command in a container: its output and its status
  async exec() {
    const spec = { terminationGracePeriodSeconds: 1, containers: [{ name: "main", image: "busybox" }] };
    await core.createNamespacedPod({ namespace, body: { metadata: { name: "pod" }, spec } });
    await seen(`/api/v1/namespaces/${namespace}/pods`, (_, pod) => pod.status.phase === "Running");
    let output = "";
    const sink = new Writable({ write: (chunk, _, next) => { output += chunk; next(); } });
    const status = await new Promise((resolve, reject) => {
      new k8s.Exec(config)
        .exec(namespace, "pod", "main", ["echo", "hello"], sink, sink, null, false, resolve)
        .catch(reject);
    });
    assert.equal(status.status, "Success");
    assert.match(output, /echo hello/);
  },

  // a Deployment is watched until it is ready, scaled, and one of its pods' logs read
  async workloads() {
    await apps.createNamespacedDeployment({ namespace, body: web });
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    await seen(path, (_, object) => object.status.readyReplicas === 2);
    const scale = await apps.readNamespacedDeploymentScale({ name: "web", namespace });
    delete scale.metadata.resourceVersion;
    scale.spec.replicas = 3;
    await apps.replaceNamespacedDeploymentScale({ name: "web", namespace, body: scale });
    await seen(path, (_, object) => object.status.readyReplicas === 3);
    const pods = await core.listNamespacedPod({ namespace, labelSelector: "app=web" });
    const name = pods.items[0].metadata.name;
    assert.match(await core.readNamespacedPodLog({ name, namespace }), /simulated start/);
    const lines = [];
    const sink = new Writable({ write: (chunk, _, next) => { lines.push(chunk.toString()); next(); } });
    const finished = new Promise((resolve) => sink.on("finish", resolve));
    await new k8s.Log(config).log(namespace, name, "main", sink, { follow: false, timestamps: true });
    await finished;
    assert.match(lines.join(""), /^\d{4}-.*simulated start/);
    await apps.deleteNamespacedDeployment({ name: "web", namespace, propagationPolicy: "Foreground" });
  },
};

await scenarios[scenario]();
