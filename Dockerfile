# Image of operator and agent: two static binaries and nothing else.
FROM rust:1.95 AS build
WORKDIR /src
COPY . .
# .cargo/config.toml links the C library statically, so that the agent runs in any MySQL image.
RUN cargo build --release --locked -p porpoise-controller -p porpoise-agent \
 && mkdir /out \
 && find target -path '*/release/porpoise-operator' -exec cp {} /out/ \; \
 && find target -path '*/release/porpoise-agent' -exec cp {} /out/ \;

FROM scratch
COPY --from=build /out/porpoise-operator /porpoise-operator
COPY --from=build /out/porpoise-agent /porpoise-agent
USER 65532:65532
ENTRYPOINT ["/porpoise-operator"]
