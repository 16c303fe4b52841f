def test_an_organization_is_created(api):
    assert api.post("/organizations", json={"name": "Acme"}).status_code == 201
