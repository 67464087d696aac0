//! `openclaw.json`, where there is none yet. It is OpenClaw's from then on.

/// The smallest configuration with which a gateway that is published at `port` starts.
pub(crate) fn text(port: u16) -> String {
    format!(
        r#"{{
  "gateway": {{
    "mode": "local",
    "bind": "lan",
    "auth": {{ "mode": "token" }},
    "controlUi": {{ "allowedOrigins": ["http://127.0.0.1:{port}", "http://localhost:{port}"] }}
  }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_page_may_be_opened_at_the_port_that_is_published() {
        let text = text(18799);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let origins = &json["gateway"]["controlUi"]["allowedOrigins"];
        assert_eq!(origins[0], "http://127.0.0.1:18799");
        assert_eq!(origins[1], "http://localhost:18799");
    }
}
