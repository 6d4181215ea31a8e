# shellcheck shell=bash
# For tools/quickstart and tools/test: lines with the time at the left, and a build that shows how
# far it is. Needs TANDEM_TIMELINE_START, and the checkout as working directory.

# The current second since the start, as the story tells it.
say() {
	local now=$EPOCHREALTIME
	local tenths=$(((${now/[.,]/} - ${TANDEM_TIMELINE_START/[.,]/}) / 100000))
	printf '%5d.%d s  %s\n' $((tenths / 10)) $((tenths % 10)) "$*"
}

# Lets one line of ninja's progress through every five seconds and keeps all in a log.
show_progress() {
	local log=$1 line shown=0
	while IFS= read -r line; do
		printf '%s\n' "$line" >> "$log"
		if [[ $line =~ ^\[([0-9]+/[0-9]+)\] ]] && [ $((SECONDS - shown)) -ge 5 ]; then
			shown=$SECONDS
			say "  built ${BASH_REMATCH[1]}"
		fi
	done
}

# build_preset NAME: configures and builds; what failed is shown.
build_preset() {
	local preset=$1 log status=0
	log=$(mktemp /tmp/tandem-build-XXXXXX.log)
	say "building (preset $preset)"
	{
		cmake --preset "$preset" && cmake --build --preset "$preset"
	} 2>&1 | show_progress "$log" || status=${PIPESTATUS[0]}
	if [ "$status" -ne 0 ]; then
		grep -vE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n 60
		say "the build failed, see $log"
		return "$status"
	fi
	rm -f "$log"
	say "built (preset $preset)"
}
