// Addresses of the portal.

/** What an address has in common with others of its kind: ids and the values of a query are left out. */
export function kind(address) {
  const url = new URL(address);
  const path = url.pathname
    .replace(/(\/(?:accounts|roles|keys|people|s|assets)\/)(?!new\b|deleted\b)[^/]+/g, "$1{}")
    .replace(/\/(?=[^/]*\d)[^/]{6,}/g, "/{}");
  const query = [...url.searchParams].filter(([, value]) => value !== "").map(([name]) => name);
  return `${path}?${query.sort().join("&")}`;
}
