# redis-lock on the official image of Redis: `docker build -t redis-lock .`
#
# Both images are of the same Debian, so that the module finds the C library that it
# was built with, or a newer one. What this file was checked with, and what not, is
# in docs/INSTALL.md.
ARG RUST=1.88-bookworm
ARG REDIS=8.0-bookworm

FROM rust:${RUST} AS build
# bindgen, which reads the server's header, needs it.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends libclang-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# redis.conf as it is, but for two things: the path, and that a container has to be
# reachable from outside (which of its ports are, Docker decides).
RUN cargo build --release --locked \
 && sed -e 's|^loadmodule .*|loadmodule /usr/local/lib/redis-lock/libredis_lock.so|' \
        -e '/^bind /d' -e '/^protected-mode /d' redis.conf > target/redis.conf

FROM redis:${REDIS}
# Not in /usr/local/lib/redis/modules: the image's entry point loads all that is there,
# and a second `loadmodule`, from the file, would keep the server from starting.
COPY --from=build /src/target/release/libredis_lock.so /usr/local/lib/redis-lock/
# CONFIG REWRITE, which Sentinel relies on, puts a new file beside the old one.
RUN install -d -o redis -g redis /usr/local/etc/redis
COPY --from=build --chown=redis:redis /src/target/redis.conf /usr/local/etc/redis/redis.conf
CMD ["redis-server", "/usr/local/etc/redis/redis.conf"]
