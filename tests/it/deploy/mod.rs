//! `k8s/`, the Dockerfile, alerts, dashboard and runbooks: what they say is true of the binary.
mod alerts;
mod dashboard;
mod image;
mod network;
mod pods;
mod render;
mod runbooks;
mod scaling;
mod schemas;
mod settings;
mod starts;
