"""memray books allocations to the green thread that made them, and no reserved stacks."""
# needs: memray

import memray

import eventlet
import greenlet  # noqa: F401 - memray asks sys.modules for it

BLOCKS, SIZE, TURNS = 2000, 1000, 3
ARENA = 1 << 20


def leaf_a():
    return [bytearray(SIZE) for _ in range(BLOCKS)]


def leaf_b():
    return [bytearray(SIZE) for _ in range(BLOCKS)]


def run(leaf):
    kept = []
    for _ in range(TURNS):
        kept.append(leaf())
        eventlet.sleep(0)
    return kept


with memray.Tracker("out.bin"):
    threads = [eventlet.spawn(run, leaf) for leaf in (leaf_a, leaf_b)]
    many = [eventlet.spawn(eventlet.sleep, 0.01) for _ in range(500)]
    kept = [thread.wait() for thread in (*threads, *many)]

sizes, total = {}, 0
reader = memray.FileReader("out.bin")
for record in reader.get_high_watermark_allocation_records(merge_threads=True):
    total += record.size
    for name in {frame[0] for frame in record.stack_trace()}:
        sizes[name] = sizes.get(name, 0) + record.size
for leaf in ("leaf_a", "leaf_b"):
    # bytearray adds some bytes to each block, and the lists are counted too; an arena
    # of the allocator is whose who had it made.
    blocks = BLOCKS * SIZE * TURNS
    assert blocks < sizes[leaf] < 1.2 * blocks + ARENA, sizes
assert total < 10 * BLOCKS * SIZE * TURNS, f"{total} bytes: stacks are counted"
print("pass")
