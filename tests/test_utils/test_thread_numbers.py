"""How many threads a machine has left."""

import pytest

from iptq_mm.utils import threads
from iptq_mm.utils.threads import Threads, sensible_threads


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes a machine of files."""
    for name in ('CPUS', 'CGROUPS', 'PROC'):
        monkeypatch.setattr(threads, f'_{name}', tmp_path / name)
    monkeypatch.setattr(threads, '_PAUSE', 0.0)

    def make(cpus, per_core=1, allowed=None, minute=0.0, now=0, quota=None, old=False):
        allowed = range(cpus) if allowed is None else allowed
        monkeypatch.setattr(threads.os, 'cpu_count', lambda: cpus)
        monkeypatch.setattr(threads, '_allowed', lambda: [*allowed])
        for cpu in range(cpus):
            folder = tmp_path / 'CPUS' / f'cpu{cpu}' / 'topology'
            folder.mkdir(parents=True)
            first = cpu // per_core * per_core
            span = f'{first}-{first + per_core - 1}' if per_core > 1 else str(cpu)
            (folder / 'core_cpus_list').write_text(f'{span}\n')
        (tmp_path / 'PROC/self').mkdir(parents=True)
        (tmp_path / 'PROC/loadavg').write_text(f'{minute} 1.0 1.0 {now + 1}/300 7\n')
        (tmp_path / 'PROC/self/cgroup').write_text('0::/user\n4:cpu:/user\n')
        if quota:
            place = tmp_path / 'CGROUPS' / ('cpu/user' if old else 'user')
            place.mkdir(parents=True)
            if old:
                (place / 'cpu.cfs_quota_us').write_text(f'{int(quota * 1e5)}\n')
                (place / 'cpu.cfs_period_us').write_text('100000\n')
            else:
                (place / 'cpu.max').write_text(f'{int(quota * 1e5)} 100000\n')

    return make


@pytest.mark.parametrize(
    'given, count, reason',
    [
        (dict(cpus=8), 8, '8 of 8 cores may be used'),
        (dict(cpus=8, per_core=2), 4, '4 of 4 cores may be used'),
        (dict(cpus=2, per_core=2), 1, '1 of 1 cores may be used'),
        (dict(cpus=8, allowed=[0, 1]), 2, '2 of 8 cores may be used'),
        (dict(cpus=8, per_core=2, allowed=[0, 2, 4, 6]), 2, '2 of 4 cores'),
        (dict(cpus=8, quota=2.5), 2, 'a quota of 2.5'),
        (dict(cpus=8, quota=3, old=True), 3, 'a quota of 3'),
        (dict(cpus=8, quota=0.5), 1, 'a quota of 0.5'),
        (dict(cpus=8, minute=3.0, now=5), 5, '3.0 processes of others run'),
        (dict(cpus=8, minute=9.0, now=0), 8, '8 of 8 cores may be used'),  # just ended
        (dict(cpus=8, minute=0.1, now=6), 8, '8 of 8 cores may be used'),  # a moment
        (dict(cpus=2, minute=2.0, now=2), 1, '2.0 processes of others run'),
        (dict(cpus=16, per_core=2, minute=8.0, now=8), 4, '8.0 processes'),
    ],
)
def test_what_is_left(machine, given, count, reason):
    machine(**given)
    found = sensible_threads({})
    assert found.count == count and reason in found.reason


@pytest.mark.parametrize('name', ['OMP_NUM_THREADS', 'MKL_NUM_THREADS'])
def test_the_user_is_right(machine, name):
    machine(cpus=8)
    assert sensible_threads({name: '5'}) == Threads(5, f'{name} says so', True)


def test_ranks_share_a_machine_unless_each_has_cpus_of_its_own(machine):
    machine(cpus=8)
    assert sensible_threads({'LOCAL_WORLD_SIZE': '2'}).count == 4
    assert sensible_threads({'OMPI_COMM_WORLD_LOCAL_SIZE': '3'}).count == 2
    own = {'LOCAL_WORLD_SIZE': '2', 'SLURM_CPUS_PER_TASK': '8'}
    assert sensible_threads(own).count == 8


def test_ranks_that_are_bound_to_cpus(machine):
    machine(cpus=8, allowed=[4, 5, 6])
    assert sensible_threads({'OMPI_COMM_WORLD_LOCAL_SIZE': '2'}).count == 3


def test_this_machine():
    found = sensible_threads({})
    assert 1 <= found.count <= (threads.os.cpu_count() or 1)


def test_a_system_without_these_files(monkeypatch, tmp_path):
    for name in ('CPUS', 'CGROUPS', 'PROC'):
        monkeypatch.setattr(threads, f'_{name}', tmp_path / name)
    monkeypatch.setattr(threads, '_allowed', lambda: [0, 1, 2])
    monkeypatch.setattr(threads.os, 'cpu_count', lambda: 3)
    assert sensible_threads({}) == Threads(3, '3 of 3 cores may be used')
