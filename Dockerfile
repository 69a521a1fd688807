# The server as an image: built with Rust, run on Debian slim as a user without rights.
#
#   docker build -t chancery .
#   docker run -p 50051:50051 -p 9464:9464 -v chancery:/var/lib/chancery --read-only chancery
#
# Only /var/lib/chancery is written to, and with PostgreSQL (CHANCERY_STORE) not even that.
# This file has been read by people and not yet by a builder: no image was built from it so far.

FROM rust:1.94-slim-bookworm AS build
# The image has the C compiler that SQLite, TLS and the allocator are built with.
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
COPY examples examples
COPY migrations migrations
COPY src src
RUN cargo build --release --locked --bin chancery

FROM debian:bookworm-slim
# Root certificates, for PostgreSQL over TLS.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 chancery \
 && useradd --system --uid 10001 --gid chancery --home-dir /var/lib/chancery --shell /usr/sbin/nologin chancery \
 && install -d -o chancery -g chancery -m 0750 /var/lib/chancery
COPY --from=build /build/target/release/chancery /usr/local/bin/chancery
# A number, so that Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /var/lib/chancery
# Inside a container the loopback interface is nobody's: what is reachable is decided by -p or a Service.
ENV CHANCERY_LISTEN=0.0.0.0:50051 \
    CHANCERY_ADMIN_LISTEN=0.0.0.0:9464 \
    CHANCERY_STORE=sqlite:/var/lib/chancery/chancery.db \
    CHANCERY_LOG_FORMAT=json
VOLUME /var/lib/chancery
EXPOSE 50051 9464
# SIGTERM drains; give it longer than CHANCERY_DRAIN_SECONDS before killing it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["chancery"]
CMD ["serve"]
