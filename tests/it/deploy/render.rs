//! What kustomize makes of an overlay, as the API server would get it.
use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::{documents::tool, harness::root};

/// What people deploy, and the one component that is in none of them.
pub const ALL: [&str; 3] =
    ["k8s/overlays/dev", "k8s/overlays/production", "tests/it/deploy/compositions/gateway"];

/// The objects of one overlay.
pub struct Rendered {
    pub folder: &'static str,
    pub text: String,
    pub objects: Vec<Value>,
}

/// Every overlay, rendered once.
pub fn all() -> &'static [Rendered] {
    static RENDERED: OnceLock<Vec<Rendered>> = OnceLock::new();
    RENDERED.get_or_init(|| {
        let render = |folder| {
            let output = kustomize(folder);
            assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            let objects = yaml(&text);
            Rendered { folder, text, objects }
        };
        ALL.into_iter().map(render).collect()
    })
}

/// The objects of `k8s/overlays/production`.
pub fn production() -> &'static Rendered {
    all().iter().find(|each| each.folder.ends_with("/production")).expect("production")
}

/// The objects of `k8s/overlays/dev`.
pub fn dev() -> &'static Rendered {
    all().iter().find(|each| each.folder.ends_with("/dev")).expect("dev")
}

/// Runs `kubectl kustomize`, which talks to no cluster.
pub fn kustomize(folder: &str) -> Output {
    let mut command = Command::new(tool("CHANCERY_TEST_KUBECTL", "kubectl"));
    command.arg("kustomize").arg(root().join(folder)).output().expect("kubectl")
}

/// The documents of a YAML text.
pub fn yaml(text: &str) -> Vec<Value> {
    let output = python(&[], text);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Runs `documents.py` on a text.
pub fn python(arguments: &[&str], text: &str) -> Output {
    let mut child = Command::new(tool("CHANCERY_TEST_PYTHON", "python3"))
        .arg(root().join("tests/it/deploy/documents.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("a reader");
    child.wait_with_output().expect("python")
}

impl Rendered {
    /// The objects of a kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// One object.
    pub fn named(&self, kind: &str, name: &str) -> &Value {
        let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        let found = self.objects.iter().find(is);
        found.unwrap_or_else(|| panic!("{}: no {kind} {name}", self.folder))
    }

    /// What makes pods: the objects with a template.
    pub fn workloads(&self) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(|object| object["spec"]["template"]["spec"]["containers"].is_array())
    }

    /// The workloads that run `chancery serve`.
    pub fn servers(&self) -> impl Iterator<Item = &Value> {
        self.workloads().filter(|workload| container(workload)["args"][0] == "serve")
    }
}

/// The only container of a workload.
pub fn container(workload: &Value) -> &Value {
    let containers = workload["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    assert_eq!(containers.len(), 1, "{}", name(workload));
    &containers[0]
}

/// The spec of a workload's pods.
pub fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

/// The literal value of a variable of a container.
pub fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let all = container["env"].as_array().expect("variables");
    all.iter().find(|each| each["name"] == name).and_then(|each| each["value"].as_str())
}

/// Kind and name, for messages.
pub fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Whether the labels have everything that is selected.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

/// A list of an object; of none, an empty one.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
