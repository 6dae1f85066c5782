// Addresses of the portal.

/** The kind of a page: its address without ids and without the values of the query. */
export function kind(address) {
  const url = new URL(address);
  const path = url.pathname
    .replace(/(\/(?:accounts|roles|keys|people|s|assets|attempts|events|oauth-clients|secrets)\/)(?!new\b|deleted\b)[^/]+/g, "$1{}")
    .replace(/\/(?=[^/]*\d)[^/]{6,}/g, "/{}");
  const query = [...url.searchParams].filter(([, value]) => value !== "").map(([name]) => name);
  return `${path}?${query.sort().join("&")}`;
}
