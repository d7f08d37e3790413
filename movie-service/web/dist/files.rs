// Made by `cargo xtask regen-web`: the files of this folder, embedded.
Build {
    document: include_str!("index.html"),
    assets: &[
        EmbeddedAsset {
            path: "/assets/en-CX_TuPBy.json",
            content_type: "application/json",
            identity: include_bytes!("assets/en-CX_TuPBy.json"),
            brotli: Some(include_bytes!("assets/en-CX_TuPBy.json.br")),
            gzip: Some(include_bytes!("assets/en-CX_TuPBy.json.gz")),
        },
        EmbeddedAsset {
            path: "/assets/fr-DX1Er6C0.json",
            content_type: "application/json",
            identity: include_bytes!("assets/fr-DX1Er6C0.json"),
            brotli: Some(include_bytes!("assets/fr-DX1Er6C0.json.br")),
            gzip: Some(include_bytes!("assets/fr-DX1Er6C0.json.gz")),
        },
        EmbeddedAsset {
            path: "/assets/index-CyYiN1Kr.css",
            content_type: "text/css; charset=utf-8",
            identity: include_bytes!("assets/index-CyYiN1Kr.css"),
            brotli: Some(include_bytes!("assets/index-CyYiN1Kr.css.br")),
            gzip: Some(include_bytes!("assets/index-CyYiN1Kr.css.gz")),
        },
        EmbeddedAsset {
            path: "/assets/index-CzaLIuxk.js",
            content_type: "text/javascript; charset=utf-8",
            identity: include_bytes!("assets/index-CzaLIuxk.js"),
            brotli: Some(include_bytes!("assets/index-CzaLIuxk.js.br")),
            gzip: Some(include_bytes!("assets/index-CzaLIuxk.js.gz")),
        },
        EmbeddedAsset {
            path: "/assets/wire-panel-BCHeH3ag.js",
            content_type: "text/javascript; charset=utf-8",
            identity: include_bytes!("assets/wire-panel-BCHeH3ag.js"),
            brotli: Some(include_bytes!("assets/wire-panel-BCHeH3ag.js.br")),
            gzip: Some(include_bytes!("assets/wire-panel-BCHeH3ag.js.gz")),
        },
        EmbeddedAsset {
            path: "/favicon.svg",
            content_type: "image/svg+xml",
            identity: include_bytes!("favicon.svg"),
            brotli: None,
            gzip: None,
        },
    ],
}
