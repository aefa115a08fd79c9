"""The table's facts that others rely on."""

from __future__ import annotations

import pytest

from minik8s.schema import table


def test_atomic_structs_and_the_fields_that_overrule_them() -> None:
    """A label selector is one value for server-side apply; a volume's claimRef is not, whatever its struct says."""
    assert table.struct("meta/v1", "LabelSelector").atomic
    assert table.struct("apps/v1", "DeploymentSpec").fields["selector"].atomic_map
    assert not table.struct("core/v1", "PersistentVolumeSpec").fields["claimRef"].atomic_map
    assert table.struct("core/v1", "PodSpec").fields["nodeSelector"].atomic_map
    assert not table.struct("core/v1", "PodSpec").fields["securityContext"].atomic_map


def test_inline_structs_are_flattened() -> None:
    """A volume shows its sources as its own fields, and protobuf still sees one nested message."""
    volume = table.struct("core/v1", "Volume")
    assert {"name", "configMap", "emptyDir"} <= set(volume.fields)
    assert [(number, name) for number, name, _ in volume.layout] == [(1, "name"), (2, None)]


def test_lists_of_names_hold_structs_only() -> None:
    """Enums and marks of the file are no structs, and every struct can be loaded."""
    for group_version in table.group_versions():
        for name in table.struct_names(group_version):
            assert name.isidentifier()
            assert table.struct(group_version, name).kind == "struct"


def test_kinds_carry_type_meta_and_templates_do_not() -> None:
    """Whole objects have kind and apiVersion wherever they stand."""
    assert table.struct("core/v1", "PersistentVolumeClaim").has_type_meta
    assert not table.struct("core/v1", "PodTemplateSpec").has_type_meta
    assert not table.struct("core/v1", "Container").has_type_meta


def test_unknown_structs_raise() -> None:
    """A KeyError names what was asked for."""
    with pytest.raises(KeyError, match="core/v1 has no type Nope"):
        table.struct("core/v1", "Nope")
