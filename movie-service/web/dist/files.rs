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
            path: "/assets/index-nV3_Mugk.js",
            content_type: "text/javascript; charset=utf-8",
            identity: include_bytes!("assets/index-nV3_Mugk.js"),
            brotli: Some(include_bytes!("assets/index-nV3_Mugk.js.br")),
            gzip: Some(include_bytes!("assets/index-nV3_Mugk.js.gz")),
        },
        EmbeddedAsset {
            path: "/assets/index-urx8Bf_G.css",
            content_type: "text/css; charset=utf-8",
            identity: include_bytes!("assets/index-urx8Bf_G.css"),
            brotli: Some(include_bytes!("assets/index-urx8Bf_G.css.br")),
            gzip: Some(include_bytes!("assets/index-urx8Bf_G.css.gz")),
        },
        EmbeddedAsset {
            path: "/assets/wire-panel-IlhXocGj.js",
            content_type: "text/javascript; charset=utf-8",
            identity: include_bytes!("assets/wire-panel-IlhXocGj.js"),
            brotli: Some(include_bytes!("assets/wire-panel-IlhXocGj.js.br")),
            gzip: Some(include_bytes!("assets/wire-panel-IlhXocGj.js.gz")),
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
