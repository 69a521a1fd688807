# The server as an image: built with Rust, run on distroless as a user without rights. There is no shell in it.
#
#   docker build -t chancery .
#   docker run -p 50051:50051 -p 9464:9464 -v chancery:/var/lib/chancery --read-only chancery \
#     serve --insecure --listen 0.0.0.0:50051 --admin-listen 0.0.0.0:9464 --store sqlite:/var/lib/chancery/chancery.db
#
# The same image runs `chancery migrate` and every other command. Only /var/lib/chancery is written to, and with
# PostgreSQL not even that. It listens on its own loopback interface until it is told otherwise, with
# certificates and an access file (docs/tls.md, docs/access.md), or with --insecure, as above, to try it.
#
# To build the same bytes again, give both images by digest and the time of the commit:
#
#   docker buildx build --output type=oci,dest=chancery.tar,rewrite-timestamp=true \
#     --build-arg BUILD_IMAGE=docker.io/library/rust:1.94-slim-bookworm@sha256:... \
#     --build-arg RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:... \
#     --build-arg COMMIT="$(git rev-parse HEAD)" \
#     --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" .
#
# The digests are those of the day: `docker buildx imagetools inspect IMAGE` tells them.

ARG BUILD_IMAGE=docker.io/library/rust:1.94-slim-bookworm
# glibc, libgcc, root certificates, time zones and the user `nonroot`, 65532: of the same Debian as the build.
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
# The image has the C compiler that SQLite, TLS and the allocator are built with.
ARG SOURCE_DATE_EPOCH=0
# Told by chancery_build_info.
ARG COMMIT=unknown
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
COPY migrations migrations
COPY src src
# Paths of this stage would otherwise be in panics and in the debug information, and differ with CARGO_HOME.
# The C parts are told the same; they put no time into what they build, because SOURCE_DATE_EPOCH is set.
RUN RUSTFLAGS="--remap-path-prefix=/build=/chancery --remap-path-prefix=${CARGO_HOME:-/usr/local/cargo}=/cargo" \
    CFLAGS="-ffile-prefix-map=${CARGO_HOME:-/usr/local/cargo}=/cargo -ffile-prefix-map=/build=/chancery" \
    CARGO_INCREMENTAL=0 CHANCERY_COMMIT="${COMMIT}" SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH}" \
    cargo build --release --locked --bin chancery \
 && install -D target/release/chancery /out/usr/local/bin/chancery \
 && strip --strip-debug /out/usr/local/bin/chancery \
 && install -d -m 0700 /out/var/lib/chancery \
 && find /out -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" '{}' +

FROM ${RUN_IMAGE}
COPY --from=build /out/usr/local/bin/chancery /usr/local/bin/chancery
COPY --from=build --chown=65532:65532 /out/var/lib/chancery /var/lib/chancery
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
WORKDIR /var/lib/chancery
ENV CHANCERY_LOG_FORMAT=json
EXPOSE 50051 9464
# SIGTERM drains; give it longer than CHANCERY_DRAIN_SECONDS before killing it.
STOPSIGNAL SIGTERM
# Kubernetes does not look at this: its probes ask the admin port themselves.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["chancery", "health"]
ENTRYPOINT ["chancery"]
CMD ["serve"]
