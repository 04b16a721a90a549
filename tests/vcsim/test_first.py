def test_x(world):
    import time
    t=time.time(); world.standard(); t1=time.time(); world.distributed(); t2=time.time()
    vms=[world.node("egress", "egress-dv", guest=[["198.51.100.11/24"],["203.0.113.4/24"]]) for n in range(3)]
    t3=time.time()
    import json
    with world.capsys.disabled(): print(t1-t,t2-t1,t3-t2); print(json.dumps(world.everything())[:3000]); print(json.dumps(world.info(nodes=[v.name for v in vms]),indent=1)[:3500])
