// A SCIM server of the package scimmy that stores its resources in memory. Its arguments are a token and a port.
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [token, port] = process.argv.slice(2);

function declareStored(type) {
    const rows = new Map();
    let last = 0;
    SCIMMY.Resources.declare(type, {
        egress: (resource) => {
            if (resource.id === undefined) {
                const all = [...rows.values()];
                return resource.filter === undefined ? all : resource.filter.match(all);
            }
            if (!rows.has(resource.id)) {
                throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
            }
            return rows.get(resource.id);
        },
        ingress: (resource, data) => {
            const key = data.userName?.toLowerCase();
            const twin = [...rows.values()].find((row) => key !== undefined && row.userName?.toLowerCase() === key);
            if (twin !== undefined && twin.id !== resource.id) {
                throw new SCIMMY.Types.Error(409, "uniqueness", "userName exists");
            }
            const id = resource.id ?? String(++last);
            const row = { ...JSON.parse(JSON.stringify(data)), id };
            rows.set(id, row);
            return row;
        },
        degress: (resource) => {
            if (!rows.delete(resource.id)) {
                throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
            }
        },
    });
}

declareStored(SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false));
declareStored(SCIMMY.Resources.Group);

const routers = new SCIMMYRouters({
    type: "bearer",
    handler: (request) => {
        if (request.header("Authorization") !== `Bearer ${token}`) {
            throw new Error("The token is wrong");
        }
        return "suites";
    },
});
express().use("/scim", routers).listen(Number(port), "127.0.0.1", () => console.log("listening"));
