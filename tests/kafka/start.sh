#!/usr/bin/env bash
# Starts a single Kafka broker (KRaft) for tests; the last line of stdout is its bootstrap address.
#
#   start.sh DIR [PORT]   broker in DIR, on PORT, or on the port it had there before, or on a free one
#   start.sh --jars       only fetches the jars and prints their folder
#
# DIR keeps the data: stopped (or killed) and started again, the broker goes on with what it had.
# DIR/pid holds the process id, DIR/broker.log what it says.
#
#   TIDEWATCH_KAFKA_VIA   a port of a proxy: the broker listens on one more port, which DIR/via holds, and tells who
#                         comes by it to come to that port
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
heap=${TIDEWATCH_KAFKA_HEAP:-512m}
ready_timeout_s=60

fail() {
    echo "start.sh: $*" >&2
    exit 1
}

# Prints the folder with the jars, filled first where it does not fit the pom.
jars() {
    local version libs
    version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
    libs=${TIDEWATCH_KAFKA_LIBS:-${XDG_CACHE_HOME:-$HOME/.cache}/tidewatch/kafka-$version}
    mkdir -p "$libs" || exit 1
    (
        flock 9 # tests that start together fill it once
        # The copy of the pom comes last, so it tells that the folder is complete.
        if ! cmp -s "$here/pom.xml" "$libs/pom.xml"; then
            command -v mvn >/dev/null || fail "mvn is not installed, and $libs has no jars"
            rm -f "$libs"/*.jar
            mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs" >&2 \
                || fail "cannot fetch the Kafka jars"
            cp "$here/pom.xml" "$libs/pom.xml" || fail "cannot write to $libs"
        fi
    ) 9>"$libs/.lock" || exit 1
    echo "$libs"
}

port_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below 32768, where Linux takes no port for outgoing connections.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + (RANDOM << 15 | RANDOM) % 12000))
        if [[ $port != "${1:-}" ]] && ! port_open "$port"; then
            echo "$port"
            return
        fi
    done
    fail "found no free port"
}

configure() {
    local port=$1 controller_port=$2 via='' told_via=''
    if [[ -n ${TIDEWATCH_KAFKA_VIA:-} ]]; then
        [[ -f $dir/via ]] || free_port "$port" >"$dir/via"
        via=,VIA://127.0.0.1:$(<"$dir/via")
        told_via=,VIA://127.0.0.1:$TIDEWATCH_KAFKA_VIA
    fi
    cat <<EOF
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port$via
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port$told_via
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,VIA:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller_port
log.dirs=$dir/data
auto.create.topics.enable=true
num.partitions=4
message.max.bytes=20971520
# Replayed events carry old record times; nothing may expire under a test.
log.retention.ms=-1
# One broker holds every internal topic; few partitions start faster.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# Tests join, die and rejoin quickly.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
# A killed broker comes back only when the session of its former self is over.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
EOF
}

[[ $# -ge 1 && $# -le 2 ]] || fail "usage: start.sh DIR [PORT] | --jars"
command -v java >/dev/null || fail "java is not installed (17 or newer)"
libs=$(jars) || exit 1
if [[ $1 == --jars ]]; then
    echo "$libs"
    exit
fi

java=(
    java -Xmx"$heap" -XX:+UseSerialGC -cp "$libs/*"
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.showDateTime=true
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"
    -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info
)

mkdir -p "$1"
dir=$(cd "$1" && pwd)
# Asked by the command line: after a crash the number may be a zombie's or another process's.
if [[ -f $dir/pid ]] && { tr '\0' ' ' <"/proc/$(<"$dir/pid")/cmdline"; } 2>/dev/null | grep -q 'kafka\.Kafka'; then
    fail "a broker runs in $dir already (process $(<"$dir/pid"))"
fi

# The controller's port is part of the data: it stays.
saved=()
[[ -f $dir/ports ]] && read -ra saved <"$dir/ports"
port=${2:-${saved[0]:-$(free_port)}}
controller_port=${saved[1]:-$(free_port "$port")}
[[ $port =~ ^[0-9]+$ ]] || fail "not a port: $port"
for p in "$port" "$controller_port"; do
    # A broker killed a moment ago may still be letting go of it.
    for ((i = 0; i < 50; i++)); do
        port_open "$p" || break
        sleep 0.1
    done
    ! port_open "$p" || fail "port $p is in use"
done
configure "$port" "$controller_port" >"$dir/server.properties"

if [[ ! -f $dir/data/meta.properties ]]; then
    "${java[@]}" kafka.tools.StorageTool format --standalone \
        --cluster-id dGlkZXdhdGNoLXRlc3RzIQ --config "$dir/server.properties" >"$dir/format.log" 2>&1 \
        || fail "cannot format $dir/data:"$'\n'"$(tail -n 20 "$dir/format.log")"
fi
echo "$port $controller_port" >"$dir/ports"

# A session of its own and no inherited streams: the broker outlives this script and a Ctrl-C, and
# does not keep a caller waiting that reads our stdout to its end.
: >"$dir/broker.log"
setsid "${java[@]}" kafka.Kafka "$dir/server.properties" </dev/null >"$dir/broker.log" 2>&1 &
pid=$!
echo "$pid" >"$dir/pid"

# The log's line comes once the broker is registered and unfenced: it answers metadata from then on.
for ((i = 0; i < ready_timeout_s * 10; i++)); do
    if ! kill -0 "$pid" 2>/dev/null; then
        rm -f "$dir/pid"
        fail "the broker ended at once:"$'\n'"$(tail -n 20 "$dir/broker.log")"
    fi
    if grep -q 'Kafka Server started' "$dir/broker.log" && port_open "$port"; then
        echo "127.0.0.1:$port"
        exit
    fi
    sleep 0.1
done
kill -KILL "$pid" 2>/dev/null || true
rm -f "$dir/pid"
fail "the broker was not ready after $ready_timeout_s s:"$'\n'"$(tail -n 20 "$dir/broker.log")"
