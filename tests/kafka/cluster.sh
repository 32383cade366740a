#!/usr/bin/env bash
# Starts three Kafka brokers (KRaft) that are one cluster; the last line of stdout is their bootstrap addresses.
#
#   cluster.sh DIR        all three, in DIR/1 to DIR/3; topics have three replicas, two of which must be in sync
#   cluster.sh DIR N      broker N again, with what it had
#
# DIR/N/pid holds the process id of broker N, DIR/N/broker.log what it says. stop.sh DIR/N stops it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
heap=${TIDEWATCH_KAFKA_HEAP:-256m}
ready_timeout_s=60
nodes=(1 2 3)

fail() {
    echo "cluster.sh: $*" >&2
    exit 1
}

[[ $# -ge 1 && $# -le 2 ]] || fail "usage: cluster.sh DIR [N]"
libs=$("$here/start.sh" --jars) || exit 1
mkdir -p "$1"
dir=$(cd "$1" && pwd)
java=(
    java -Xmx"$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libs/*"
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info
)

port_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Six free ports, below 32768, where Linux takes none for outgoing connections: a broker's and a controller's each.
choose_ports() {
    local ports=() port
    while [[ ${#ports[@]} -lt 6 ]]; do
        port=$((20000 + (RANDOM << 15 | RANDOM) % 12000))
        [[ " ${ports[*]-} " == *" $port "* ]] || port_open "$port" || ports+=("$port")
    done
    echo "${ports[*]}"
}

configure() {
    local n=$1 voters
    voters="1@127.0.0.1:${ports[1]},2@127.0.0.1:${ports[3]},3@127.0.0.1:${ports[5]}"
    cat <<EOF
process.roles=broker,controller
node.id=$n
listeners=PLAINTEXT://127.0.0.1:${ports[2 * n - 2]},CONTROLLER://127.0.0.1:${ports[2 * n - 1]}
advertised.listeners=PLAINTEXT://127.0.0.1:${ports[2 * n - 2]}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=$voters
log.dirs=$dir/$n/data
auto.create.topics.enable=true
num.partitions=4
default.replication.factor=3
min.insync.replicas=2
log.retention.ms=-1
offsets.topic.replication.factor=3
offsets.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
# Another broker leads soon after one is gone.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
EOF
}

start() {
    local n=$1
    : >"$dir/$n/broker.log"
    setsid "${java[@]}" kafka.Kafka "$dir/$n/server.properties" </dev/null >"$dir/$n/broker.log" 2>&1 &
    echo $! >"$dir/$n/pid"
}

await() {
    local n=$1 i
    for ((i = 0; i < ready_timeout_s * 10; i++)); do
        kill -0 "$(<"$dir/$n/pid")" 2>/dev/null \
            || fail "broker $n ended at once:"$'\n'"$(tail -n 20 "$dir/$n/broker.log")"
        if grep -q 'Kafka Server started' "$dir/$n/broker.log" && port_open "${ports[2 * n - 2]}"; then
            return
        fi
        sleep 0.1
    done
    fail "broker $n was not ready after $ready_timeout_s s:"$'\n'"$(tail -n 20 "$dir/$n/broker.log")"
}

if [[ $# -eq 2 ]]; then
    read -ra ports <"$dir/ports"
    start "$2"
    await "$2"
else
    read -ra ports <<<"$(choose_ports)"
    echo "${ports[*]}" >"$dir/ports"
    for n in "${nodes[@]}"; do
        mkdir -p "$dir/$n"
        configure "$n" >"$dir/$n/server.properties"
        "${java[@]}" kafka.tools.StorageTool format --cluster-id dGlkZXdhdGNoLXRlc3RzIQ \
            --config "$dir/$n/server.properties" >"$dir/$n/format.log" 2>&1 \
            || fail "cannot format $dir/$n/data:"$'\n'"$(tail -n 20 "$dir/$n/format.log")"
    done
    for n in "${nodes[@]}"; do start "$n"; done
    for n in "${nodes[@]}"; do await "$n"; done
fi
echo "127.0.0.1:${ports[0]},127.0.0.1:${ports[2]},127.0.0.1:${ports[4]}"
