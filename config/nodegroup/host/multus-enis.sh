#!/bin/bash
# Readies the Multus ENIs of an AL2023 worker of EKS before the kubelet starts: finds
# the link of each by its MAC in IMDS, brings it up without an address of the host, and
# names it as NADs do, by an alternative name. It touches no other link.
#   ENIS          index=name, or card.index=name, such as "1=eth1 2=eth2 1.1=eth3"
#   ENIS_TIMEOUT  how many seconds to wait until EC2 has attached them (240)
# Exits with 0 if all are ready, 1 if one is missing or failed, 2 if ENIS is wrong.
set -u
imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}/latest
root=${MULTUS_ENIS_ROOT:-} # tests keep their own /etc, /proc, /run and /sys
declare -A wanted=() # names by card.index, of ENIs that are not dealt with yet
for eni in ${ENIS:-}; do
  at=${eni%%=*} name=${eni#*=}
  [[ $at == *.* ]] || at=0.$at
  if [[ $eni != *=* || -n ${wanted[$at]:-} ||
    ! $at=$name =~ ^(0|[1-9][0-9]?)\.[1-9][0-9]?=[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$ ]]; then
    echo "multus-enis: ENIS: \"$eni\" is not index=name or card.index=name, or is there twice" >&2
    exit 2
  fi
  wanted[$at]=$name
done
if [ ${#wanted[@]} -eq 0 ] || [[ ! ${ENIS_TIMEOUT:=240} =~ ^(0|[1-9][0-9]{0,4})$ ]]; then
  echo "multus-enis: ENIS must name an ENI, and ENIS_TIMEOUT a number of seconds" >&2
  exit 2
fi

ask() { curl -sf --noproxy '*' --max-time 2 "$@"; }
get() { ask -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/network/interfaces/macs/$1"; }

# link_of MAC prints the device that has it. A VLAN on top has it too, but is none.
link_of() {
  local dir
  for dir in "$root"/sys/class/net/*; do
    if [ -e "$dir/device" ] && [ "$(cat "$dir/address")" = "$1" ]; then echo "${dir##*/}" && return; fi
  done
  return 1
}

# ready LINK NAME readies a link; to do so again changes nothing.
ready() {
  local link=$1 name=$2 file=70-eks-$1.network by="not managed" setting holder
  # nodeadm has networkd manage the link by this file, or is about to, or never will.
  # A drop-in without its file changes nothing, not even who manages the link.
  mkdir -p "$root/etc/systemd/network/$file.d" || return
  printf '[Link]\nRequiredForOnline=no\n\n[Network]\nDHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
    >"$root/etc/systemd/network/$file.d/multus-enis.conf" || return
  for setting in accept_ra=0 addr_gen_mode=1; do # which a kernel without IPv6 lacks
    [ ! -e "$root/proc/sys/net/ipv6/conf/$link" ] ||
      echo "${setting#*=}" >"$root/proc/sys/net/ipv6/conf/$link/${setting%=*}" || return
  done
  ip link set dev "$link" mtu 9001 up || return
  if [ -e "$root/run/systemd/network/$file" ]; then
    networkctl reload && networkctl reconfigure "$link" || return
    by="managed by networkd, without DHCP"
  fi
  holder=$(ip -o link show dev "$name" 2>/dev/null) || ip link property add dev "$link" altname "$name" || return
  [[ -z $holder || $holder == *": $link"[:@]* ]] || { echo "$name is another link's name" >&2 && return 1; }
  echo "multus-enis: $name is ready: $link, $by"
}

failed=0
while :; do
  token=$(ask -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/api/token") && for mac in $(get ""); do
    keys=$(get "$mac") || continue
    at=0
    [[ $keys != *network-card* ]] || at=$(get "${mac}network-card") || continue
    at+=.$(get "${mac}device-number")
    if [ -z "${wanted[$at]:-}" ] || ! link=$(link_of "${mac%/}"); then continue; fi
    ready "$link" "${wanted[$at]}" || {
      failed=1
      echo "multus-enis: ${wanted[$at]} is not ready: $link, see above" >&2
    }
    unset "wanted[$at]"
  done
  [ ${#wanted[@]} -gt 0 ] || exit $failed
  [ $SECONDS -lt "$ENIS_TIMEOUT" ] || break
  sleep 1
done
for name in "${wanted[@]}"; do echo "multus-enis: $name is not ready: EC2 has not attached it after $SECONDS s" >&2; done
exit 1
