from difrun.testing import conformance

test_conformance = conformance("difrun-cld")
