
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  
  "public": {
          Tables: {
            "carousel_uploads": {
                  Row: {
                    "created_at": string,"is_named": boolean,"path": string,"renewed_at": string,"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"is_named"?: boolean,"path": string,"renewed_at"?: string,"user_id"?: string
                  }
                  Update: {
                    "created_at"?: string,"is_named"?: boolean,"path"?: string,"renewed_at"?: string,"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                },"generated_carousel_images": {
                  Row: {
                    "aspect_ratio": string,"bytes": number | null,"carousel_id": string,"completed_at": string | null,"cost_usd": number | null,"created_at": string,"duration_ms": number | null,"error_code": string | null,"error_message": string | null,"height": number | null,"id": string,"is_favorite": boolean,"job_id": string,"mime_type": string | null,"model": string | null,"preview_path": string | null,"prompt": string | null,"provider_request_id": string | null,"quality": string | null,"sha256": string | null,"slide": number,"status": string,"storage_path": string | null,"thumbhash": string | null,"updated_at": string,"usage": Json | null,"user_id": string,"variant": number,"width": number | null
                  }
                  ComputedFields: never
                  Insert: {
                    "aspect_ratio": string,"bytes"?: number | null,"carousel_id": string,"completed_at"?: string | null,"cost_usd"?: number | null,"created_at"?: string,"duration_ms"?: number | null,"error_code"?: string | null,"error_message"?: string | null,"height"?: number | null,"id"?: string,"is_favorite"?: boolean,"job_id": string,"mime_type"?: string | null,"model"?: string | null,"preview_path"?: string | null,"prompt"?: string | null,"provider_request_id"?: string | null,"quality"?: string | null,"sha256"?: string | null,"slide": number,"status"?: string,"storage_path"?: string | null,"thumbhash"?: string | null,"updated_at"?: string,"usage"?: Json | null,"user_id": string,"variant": number,"width"?: number | null
                  }
                  Update: {
                    "aspect_ratio"?: string,"bytes"?: number | null,"carousel_id"?: string,"completed_at"?: string | null,"cost_usd"?: number | null,"created_at"?: string,"duration_ms"?: number | null,"error_code"?: string | null,"error_message"?: string | null,"height"?: number | null,"id"?: string,"is_favorite"?: boolean,"job_id"?: string,"mime_type"?: string | null,"model"?: string | null,"preview_path"?: string | null,"prompt"?: string | null,"provider_request_id"?: string | null,"quality"?: string | null,"sha256"?: string | null,"slide"?: number,"status"?: string,"storage_path"?: string | null,"thumbhash"?: string | null,"updated_at"?: string,"usage"?: Json | null,"user_id"?: string,"variant"?: number,"width"?: number | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "generated_carousel_images_job_id_fkey"
      columns: ["job_id"]
isOneToOne: false
      referencedRelation: "image_generation_jobs"
      referencedColumns: ["id"]
    }
                  ]
                },"image_generation_jobs": {
                  Row: {
                    "aspect_ratios": (string)[],"attempt": number,"background": string | null,"batch_id": string | null,"cancel_requested_at": string | null,"completed_images": number,"cost_usd": number,"created_at": string,"error_code": string | null,"error_message": string | null,"failed_images": number,"finished_at": string | null,"id": string,"idempotency_key": string | null,"message": string | null,"model": string | null,"output_format": string | null,"partial_previews": number,"priority": number,"progress": number,"prompt": string,"quality": string | null,"retry_requested_at": string | null,"run_at": string,"slide_prompts": (string)[],"slide_sources": Json | null,"slides_from": string,"source_paths": (string)[],"stage": string,"started_at": string | null,"status": string,"style": NonNullable<Json>,"template_id": string | null,"template_version": number | null,"title": string | null,"total_images": number,"updated_at": string,"usage": Json | null,"user_id": string,"variables": NonNullable<Json>,"variants": number
                  }
                  ComputedFields: never
                  Insert: {
                    "aspect_ratios"?: (string)[],"attempt"?: number,"background"?: string | null,"batch_id"?: string | null,"cancel_requested_at"?: string | null,"completed_images"?: number,"cost_usd"?: number,"created_at"?: string,"error_code"?: string | null,"error_message"?: string | null,"failed_images"?: number,"finished_at"?: string | null,"id"?: string,"idempotency_key"?: string | null,"message"?: string | null,"model"?: string | null,"output_format"?: string | null,"partial_previews"?: number,"priority"?: number,"progress"?: number,"prompt"?: string,"quality"?: string | null,"retry_requested_at"?: string | null,"run_at"?: string,"slide_prompts"?: (string)[],"slide_sources"?: Json | null,"slides_from"?: string,"source_paths"?: (string)[],"stage"?: string,"started_at"?: string | null,"status"?: string,"style"?: NonNullable<Json>,"template_id"?: string | null,"template_version"?: number | null,"title"?: string | null,"total_images"?: number,"updated_at"?: string,"usage"?: Json | null,"user_id"?: string,"variables"?: NonNullable<Json>,"variants"?: number
                  }
                  Update: {
                    "aspect_ratios"?: (string)[],"attempt"?: number,"background"?: string | null,"batch_id"?: string | null,"cancel_requested_at"?: string | null,"completed_images"?: number,"cost_usd"?: number,"created_at"?: string,"error_code"?: string | null,"error_message"?: string | null,"failed_images"?: number,"finished_at"?: string | null,"id"?: string,"idempotency_key"?: string | null,"message"?: string | null,"model"?: string | null,"output_format"?: string | null,"partial_previews"?: number,"priority"?: number,"progress"?: number,"prompt"?: string,"quality"?: string | null,"retry_requested_at"?: string | null,"run_at"?: string,"slide_prompts"?: (string)[],"slide_sources"?: Json | null,"slides_from"?: string,"source_paths"?: (string)[],"stage"?: string,"started_at"?: string | null,"status"?: string,"style"?: NonNullable<Json>,"template_id"?: string | null,"template_version"?: number | null,"title"?: string | null,"total_images"?: number,"updated_at"?: string,"usage"?: Json | null,"user_id"?: string,"variables"?: NonNullable<Json>,"variants"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "image_generation_jobs_template_id_fkey"
      columns: ["template_id"]
isOneToOne: false
      referencedRelation: "image_generation_templates"
      referencedColumns: ["id"]
    }
                  ]
                },"image_generation_templates": {
                  Row: {
                    "aspect_ratios": (string)[],"created_at": string,"description": string | null,"id": string,"is_favorite": boolean,"last_used_at": string | null,"name": string,"prompt": string | null,"slide_prompts": (string)[],"slide_sources": Json | null,"slides_from": string,"source_paths": (string)[],"style": NonNullable<Json>,"tags": (string)[],"updated_at": string,"use_count": number,"user_id": string,"variables": NonNullable<Json>,"variants": number,"version": number,"search_text": string | null
                  }
                  ComputedFields: "search_text"
                  Insert: {
                    "aspect_ratios"?: (string)[],"created_at"?: string,"description"?: string | null,"id"?: string,"is_favorite"?: boolean,"last_used_at"?: string | null,"name": string,"prompt"?: string | null,"slide_prompts"?: (string)[],"slide_sources"?: Json | null,"slides_from"?: string,"source_paths": (string)[],"style"?: NonNullable<Json>,"tags"?: (string)[],"updated_at"?: string,"use_count"?: number,"user_id"?: string,"variables"?: NonNullable<Json>,"variants"?: number,"version"?: number
                  }
                  Update: {
                    "aspect_ratios"?: (string)[],"created_at"?: string,"description"?: string | null,"id"?: string,"is_favorite"?: boolean,"last_used_at"?: string | null,"name"?: string,"prompt"?: string | null,"slide_prompts"?: (string)[],"slide_sources"?: Json | null,"slides_from"?: string,"source_paths"?: (string)[],"style"?: NonNullable<Json>,"tags"?: (string)[],"updated_at"?: string,"use_count"?: number,"user_id"?: string,"variables"?: NonNullable<Json>,"variants"?: number,"version"?: number
                  }
                  Relationships: [
                    
                  ]
                }
          }
          Views: {
            "generated_carousels": {
                  Row: {
                    "aspect_ratio": string,"completed_slides": number,"cost_usd": number | null,"cover_path": string | null,"cover_thumbhash": string | null,"created_at": string,"failed_slides": number,"id": string,"is_favorite": boolean,"job_id": string,"last_completed_at": string | null,"slides": number,"user_id": string,"variant": number
                  }
                  ComputedFields: never
                  Relationships: [
                    {
      foreignKeyName: "generated_carousel_images_job_id_fkey"
      columns: ["job_id"]
isOneToOne: false
      referencedRelation: "image_generation_jobs"
      referencedColumns: ["id"]
    }
                  ]
                }
          }
          Functions: {
            "carousel_has_proof":
{ Args: { "nonce": string }; Returns: boolean
                           },
"search_text":
{ Args: { "template": Omit<Database["public"]['Tables']["image_generation_templates"]['Row'], Database["public"]['Tables']["image_generation_templates"]['ComputedFields']> }; Returns: string
                           }
          }
          Enums: {
            [_ in never]: never
          }
          CompositeTypes: {
            [_ in never]: never
          }
        }
}

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">]

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
  ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R
    }
    ? R
    : never
  : never

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I
    }
    ? I
    : never
  : never

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U
    }
    ? U
    : never
  : never

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
  ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
  ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never

export const Constants = {
  "public": {
          Enums: {
            
          }
        }
} as const
