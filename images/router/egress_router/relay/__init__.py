# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections that outlive a planned move of the address: the pod that has their state relays them through the pod that serves.

Clients' connections are pinned to the old pod's cluster address, and their translation is in its kernel. Both stay there. The
packets go round: client, old pod (translation as before), tunnel, new pod, server; and back the same way. The tunnel is a VXLAN
device between the cluster addresses of both pods.

*Old pod* (`former.Former`): a route into the tunnel, worse than those of net1. So it can be there before the move, and
is taken the moment `Network.release()` removes the others; `Network.take()` makes them better again when the pod gets the address
back. The fence has dropped by then: what leaves by the tunnel needs no permit, and nothing but connections that are in the
kernel's table already leaves by it. By net1 nothing leaves.

*New pod* (`holder.Holder`): on net1, packets of the flows that the old pod named go into the tunnel before the pod's own
stack sees them. What comes out of a tunnel, if it belongs to such a flow, is forwarded by the agent's own table: only while a
permit lasts, by the routes of the router.

New connections that the cluster still sends to the old pod are let into the tunnel for a few seconds, with source ports of the old
pod's part; the new pod relays what has such ports, until they are named too. It does so only if none of its own may have them.

`leaving.Leaving` and `hosting.Hosting` decide, each for its side, and `run/relay.py` does it, in one thread. What pods say, see
messages.py, is proved as beats are; RELAY, MOVES and MOVED are said again, and chunks until there is a receipt.

    at the start
        both    guard.unsupported(config): a reason means: no relays, reset connections instead, say it in log and metrics
                former.holder, holder.peers: what an earlier process left goes on. Guests are told by what they say that their
                connections are not known here, and name them again. Whoever does not serve soon closes their tunnels
    the holder is to hand over (SIGTERM, HandOver), before the event is given to the protocol: nothing changes for clients yet
        old     former.open(ip of the successor); say RELAY to it, with the parts of the source ports that it knows are in use
        new     holder.open(ip of the old pod); answer it. Without an answer in time: former.close(), reset instead
        old     flows = former.flows(); send the chunks of Parcel(number, limited(flows)), again until its `left` is empty
        new     for each chunk: holder.add(ip, assembly.add(chunk)), and answer assembly.receipt(). When assembly.complete:
                firewall.use_ports(holder.ports(...)), holder.reserve(firewall.ports), holder.accept(); only then the last receipt
        old     former.accept()
    the protocol hands over
        old     Drop: fence.drop(); then Network.release(), when nothing waits for the kernel any more or a tenth of a second is over,
                and not the reset of connections. Packets wait in the tunnel, whose
                next hop has no MAC address yet, instead of getting lost at a pod that does not serve: a new connection would be
                begun again after a second
                Send YOURS. Say MOVED to each of its guests, then holder.close(). To look which connections are late takes a moment,
                so only when packets do not wait any more: late = without(former.flows(), flows), and if there is any, another
                parcel; often at first, while new ones may come
        new     Grant: fence.grant(), Network.claim() and take() without a probe (the old pod has given up), announce. Say SERVES, by
                which the old one lets through what waits; it does so after a second anyway. Then former.close() if it relayed itself: its
                own connections are direct now. Chunks are taken before and after
    afterwards
        others  that have flows: say RELAY to the new holder and send it their flows, as above; then former.open(its ip), by which their
                packets change their way. They know it by MOVED, or by the Lease, whichever has the higher term. All but the last of it
                they do before the move, by MOVES, which the old one says when it prepares that, and they say FOLLOWS when they
                have. The old one waits for that before it hands over, for a second at most. Then packets wait in their tunnels
                too, between MOVED and SERVES. A pod that lost the address without
                having prepared it follows as well: its connections stood still until then
        new     as above, once more. Established connections keep their ports
    until the end
        old     each second, RELAY, and whether former.flows() has anything left; if not: former.close(), say OVER, and the pod may end.
                Now and then all flows again, which lasts as long at the new pod's as if they had just come.
                relay_seconds are over since SIGTERM: former.reset(0.3), which tells both ends, then close
        new     OVER, or nothing for SILENT_SECONDS: holder.close(ip)
    the holder fails while others relay through it
        the next one takes over as always; former pods do as at "afterwards", as soon as it is in the Lease. A pod that
        crashed had the state of its connections: those are lost

A parcel's number, and a message's, is above those of all earlier ones of a pod, across its processes: the clock's microseconds.

No more than `flows.MAX_FLOWS` connections are relayed: 32,000 take half a second of computing in both pods together, most of it
before the old pod gives up anything. The others stand still until `former.reset` at the end, and log and metrics say so.

Cost and limits. Connections of routers with more than one replica begin with segments that fit through the tunnel. Larger IPv4
packets pass in fragments of the tunnel's own if the cluster's network is IPv4. With IPv6, of the connection or of the cluster's
network, the ends are told how large packets may be, so the first large datagram may be lost; the new pod tells nobody on behalf
of a cluster network with IPv6: datagrams of servers that do not fit are lost there. ICMP errors and fragments that come in by
net1 do not say whose they are, so all pods get a copy, 2,000 a second at most. A connection that begins between the list of flows and Drop is in the
second parcel; SCTP is relayed like TCP, but not reset. Half-open TCP connections are relayed too. Trust is by address, as in
the cluster's network itself: whoever can send with a peer's address can send packets of the relayed flows, and no others.
"""
