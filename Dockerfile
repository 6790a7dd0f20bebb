# The images of multus-ipmgr: one target each for webhook, ipmgr and controller.
#
#   docker buildx build --target ipmgr --platform linux/amd64,linux/arm64 .
#
# `make image` builds all of them, with docker or with buildah, and judges what
# came out. The programs are compiled on the building machine's architecture
# for the image's. Every input is pinned, every time is SOURCE_DATE_EPOCH: the
# same commit, builder and version give the same layers.

# The builder has Go, a shell, and certificate authorities in
# /etc/ssl/certs/ca-certificates.crt. In the images they are in
# /etc/ssl/cert.pem: Go parses what is in /etc/ssl/certs twice. The image of
# ipmgr has those of AWS's endpoints alone: every pod start parses them all.
# BUILDER= names another builder.
ARG BUILDER=builder

# The digest is that of the index of all architectures, as shown by
# "docker buildx imagetools inspect golang:1.26.8-bookworm". Dependabot renews
# what stands in a FROM, and not what an ARG names.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS builder

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=devel
ARG COMMIT=unknown
ARG SOURCE_DATE_EPOCH=0
# One directory for each image holds all that is in it.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    set -eu; umask 022; \
    for program in webhook ipmgr controller; do \
      root=/images/$program; \
      mkdir -p "$root/etc/ssl" "$root/licenses"; \
      cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/cert.pem"; \
      cp LICENSE "$root/licenses/"; \
      CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
        -ldflags "-s -w -X github.com/multus-ipmgr/multus-ipmgr/version.version=$VERSION -X github.com/multus-ipmgr/multus-ipmgr/version.commit=$COMMIT" \
        -o "$root/$program" "./cmd/$program"; \
    done; \
    go run -buildvcs=false ./e2e/image/authorities/choose </etc/ssl/certs/ca-certificates.crt >/images/ipmgr/etc/ssl/cert.pem; \
    chmod -R u=rwX,go=rX /images; \
    find /images -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# No shell, no package manager, no user database: the user is a number.
FROM scratch AS image
ARG VERSION=devel
ARG COMMIT=unknown
LABEL org.opencontainers.image.source="https://github.com/multus-ipmgr/multus-ipmgr" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
USER 65532:65532

FROM image AS webhook
LABEL org.opencontainers.image.title="multus-ipmgr webhook" \
      org.opencontainers.image.description="Adds the IP manager to pods with Multus networks, and checks networks"
COPY --from=build /images/webhook/ /
ENTRYPOINT ["/webhook"]

FROM image AS ipmgr
LABEL org.opencontainers.image.title="multus-ipmgr IP manager" \
      org.opencontainers.image.description="Makes a pod's Multus addresses secondary addresses of the right ENI"
COPY --from=build /images/ipmgr/ /
ENTRYPOINT ["/ipmgr"]

FROM image AS controller
LABEL org.opencontainers.image.title="multus-ipmgr controller" \
      org.opencontainers.image.description="Keeps ReservedCIDR objects and EC2's subnet CIDR reservations the same"
COPY --from=build /images/controller/ /
ENTRYPOINT ["/controller"]
