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

What the driver does, in this order, beside the protocol's actions. `ip` is a pod's cluster address; messages are sealed as beats.

    at the start
        both    guard.unsupported(config): a reason means: no relays, reset connections instead, say it in the state
                former.holder, holder.peers: what an earlier process left, which goes on. A former pod goes on below, at "until
                the end"; one that is to serve calls former.close() after Network.take(). Whoever does not serve: close_all()
    the holder is to hand over (SIGTERM, HandOver), before the event is given to the protocol: nothing changes for clients yet
        old     former.open(ip of the successor); say RELAY to it
        new     holder.open(ip of the old pod, seconds); answer it. Without an answer in time: former.close(), reset instead
        old     flows = former.flows(); send the chunks of Parcel(number, limited(flows)), again until its `left` is empty
        new     for each chunk: holder.add(ip, assembly.add(chunk)), and answer assembly.receipt(). When assembly.complete:
                firewall.use_ports(holder.ports(firewall.ports)) and holder.reserve(firewall.ports): nothing before this pod serves
    the protocol hands over
        old     Drop: fence.drop(); then at once Network.release(), and not the reset of connections.
                Send YOURS; then late = without(former.flows(), flows), and if there is any, Parcel(number + 1, late)
        new     Grant: fence.grant(), Network.claim() and take() without a probe (the old pod has given up), announce. After that
                former.close() if it relayed itself: its own connections are direct now. Chunks are taken before and after
    afterwards
        old     says NEWS to each of holder.peers, then holder.close_all()
        others  that have flows: say RELAY to the new holder and send it their flows, as above; then former.open(its ip), by which their
                packets change their way. Whoever hears of the successor before the move may send the flows before it, too
        new     holder.open and add for each; then use_ports and reserve as above, once more. Established connections keep
                their ports
    until the end, each second
        old     no former.flows() left: former.close(), say so; the new pod calls holder.close(ip), and the pod may end.
                relay_seconds are over (at SIGTERM: before the grace period is): former.reset(0.3), which tells both ends, then close
        new     a former pod that says it has none left, or that is gone for longer than relay_seconds: holder.close(ip)
    the holder fails while others relay through it
        the next one takes over as always; former pods do as at "afterwards", with the first message of the new holder. A pod that
        crashed had the state of its connections: those are lost

`holder.open(..., seconds)`: how long its flows last in the kernel if nobody takes them away, so a little more than relay_seconds. One
parcel's number is above those of all earlier ones of a pod, across its processes: the protocol's counter is such a number.

No more than `flows.MAX_FLOWS` connections are relayed: 32,000 take half a second of computing in both pods together, most of it
before the old pod gives up anything. The others stand still until `former.reset` at the end, so a driver with more says it.

Cost and limits. Connections of routers with more than one replica begin with segments that fit through the tunnel. Larger IPv4
packets pass in fragments of the tunnel's own if the cluster's network is IPv4. With IPv6, of the connection or of the cluster's
network, the ends are told how large packets may be, so the first large datagram may be lost; the new pod tells nobody on behalf
of a cluster network with IPv6: datagrams of servers that do not fit are lost there. ICMP errors and fragments that come in by
net1 do not say whose they are, so all pods get a copy, 2,000 a second at most. A connection that begins between the list of flows and Drop is in the
second parcel; SCTP is relayed like TCP, but not reset. Half-open TCP connections are relayed too. Trust is by address, as in
the cluster's network itself: whoever can send with a peer's address can send packets of the relayed flows, and no others.
"""
